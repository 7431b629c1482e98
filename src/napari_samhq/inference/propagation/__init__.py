"""Follow outlined objects through the other planes of a volume.

`volume` reads planes, `courses` says which planes are computed for which object, `shapes`,
`motion` and `appearance` are what a step from one plane to the next is made of, `steps` takes it
for one object, `sharing` gives each pixel to one object, and `run` goes through the planes.
"""
