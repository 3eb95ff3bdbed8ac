"""The EC2 and STS face: Amazon's query APIs in front of the verbs.

`face` answers requests, `call` names the actions, `errors` is the one table from the core's errors to Amazon's,
`filters`, `paging` and `names` are what lists share; every other file is a noun with its actions.
"""

from pileus.faces.ec2.face import PATHS, Ec2Face

__all__ = ["PATHS", "Ec2Face"]
