"""Packs as OCI artifacts: how one is named, written down, checked and carried. What recipes say is no concern here.

    reference  oci://HOST/NAME:TAG and oci://HOST/NAME@sha256:…
    names      which names files of a pack may have
    manifest   the artifact's manifest and its digest; sizes; what is refused before a byte of a file is asked for
    layout     OCI image layouts, as a folder or one tar file
    storage    the same in what fsspec opens
    wire       oras' requests, through the guarded client's connections
    remote     registries, through oras
    opening    a reference, a path or an address → what holds the pack
    bringing   its files, each checked as it comes, into a new folder
    kept       packs that recipes extend, by digest, in a workspace's store

A pack is a stranger's until it is checked: nothing of it decides where bytes are written, how many they are, or who is
asked. https://github.com/opencontainers/image-spec, version 1.1.
"""
