// A PLC server and a Bluesky PDS on the two ports given; ends when its stdin does.
import { createRequire } from 'node:module'
const [folder, plcPort, pdsPort] = process.argv.slice(2)
const { TestNetworkNoAppView } = createRequire(folder + '/')('@atproto/dev-env')
const network = await TestNetworkNoAppView.create({
  plc: { port: Number(plcPort) },
  pds: { port: Number(pdsPort), hostname: 'localhost', inviteRequired: false },
})
console.log('ready')
process.stdin.resume()
process.stdin.on('end', () => network.close().finally(() => process.exit(0)))
