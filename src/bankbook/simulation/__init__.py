"""Evidence: what was asked of a bank and answered, and whether the answers can be right.

`history` and `history_json` are the recorded history and its file, `checkers` judge it. Neither knows how a
history came about: any system whose customers are recorded so can be judged.
"""
