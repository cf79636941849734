"""The command line for administrators: makes a machine a node (`init`, `join`, `reset`, `token`) and makes clusters of
node containers on one machine (`cluster`). Each bring-up step is a small action with its own progress line.
"""
