"""Publishers' code runs in processes of its own, one for each platform, with limits."""
