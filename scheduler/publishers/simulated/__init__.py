"""Simulated platforms: Mastodon, Bluesky, X and Facebook pages over real HTTP on loopback.

    from scheduler.publishers.simulated import faults, ledger, process

    running = process.start(directory)              # or process.running(directory), or None
    running.servers                                 # {"mastodon": "http://127.0.0.1:PORT", …}
    ledger.read(directory)                          # every post that was accepted, oldest first
    ledger.duplicates(entries)                      # the same words live twice on one account
    ledger.arrivals(directory)                      # every publishing request, refused ones too
    running.faults(faults.PRESETS["launch-day"])    # from now on the platforms misbehave
    running.stop()

No account needs registering: the token `sim:ORG/NAME` is one, made on first use (on Bluesky it is the
app password, and the identifier is the handle). `revoked:…` and `noscope:…` get the platform's own
token and scope errors. Each platform is one file; the rules it enforces stand there.
"""
