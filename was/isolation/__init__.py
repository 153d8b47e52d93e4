"""What a process gives up before it runs what others wrote, or faces those it does not know.

`identities` chooses ids (pure). `enter` takes the steps in their order, with `privileges` (who one
is and may become), `view` (folders that lie below closed ones) and `landlock` (files and ports).
"""
