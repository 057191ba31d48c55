"""The request queue as whoever composes the portal, the command line and the timers sees it: one object per subject.

Every method that changes something is one transaction: the change, its audit row and the mails it causes are there
together or not at all. What is asked of the wrong state, by the wrong person or too often is an exception from
`errors`, whose text can be shown. `Unavailable` means nothing was recorded and trying again does no harm.
"""
