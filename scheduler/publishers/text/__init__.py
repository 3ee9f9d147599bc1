"""Texts as the platforms read them: what they count, and which words they turn into links."""
