"""Recipes for others: what goes along in a pack, what a pack would do, and how it is taken in.

gathering  the files of a recipe that go along, by the names that they will have; what must not is refused by name
card       the pack's README.md
packing    a recipe → an OCI image layout, as a file or a folder
asking     which hosts a recipe would have asked, and why
showing    what a recipe would do, told before anything of it is written or run
signed     whose packs the user's settings take
pulling    a reference, a file, a folder or an address → what it would do, and a folder of its files
pushing    a pack → a registry, a folder, what fsspec opens
"""
