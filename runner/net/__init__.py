"""The one guarded client under all network sources: `client.Client`.

    urls     addresses as we write them; what is secret and never shown
    guard    which addresses may be reached at all
    failures the ways of failing that the client itself tells apart
    watched  connections to checked addresses, that keep the time and count what comes
    wire     one request and its answer
    pace     how often and how many at once per host, and what Retry-After asks
    robots   robots.txt
    body     whether bytes are what was asked for, and unpacking them
    cache    raw bytes by content, answers by request, unfinished parts
    transfer one attempt at one item: redirects, conditional requests, resuming, wholeness
    client   get and get_all: cache first, retries, several at once

It imports httpx and httpcore: import `runner.net.client` inside the function that fetches.
"""
