"""Codecs that several faces share: bytes and text in, plain values out, and back. No state, no I/O.

The AWS dialects are derived from the vendor's own service models, which botocore carries:

`model`    a service model: its actions, shapes, API versions, and the names that members have on the wire
`query`    parameters of a request (EC2 and query protocols) to a nested dict, with AWS's errors
`xml`      a result to the XML of a response, and errors
`shapes`   input shapes compiled to the functions that `query` reads with
`sigv4`    AWS signatures, version 4: verify
`signing`  the same: what both sides compute, and the signer
`sigv2`    AWS signatures, version 2: verify and sign
`scalars`  text of one value to the value, and back
`http`     whole requests and answers
`absent`   refusals of services that are not here
`errors`   what a codec raises, and each protocol's words for it
"""
