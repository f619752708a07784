"""A live explorer of the limit: a page on this machine that answers while a matrix is being changed.

``state`` is what a visitor has set, ``stages`` the pure functions from a state to what is shown; both know nothing of
the page or of the server. ``worker`` computes in a process of its own, ``server`` passes messages between it and one
visitor, ``page/`` holds what the browser loads.
"""

from gflow.explore.notebook import MISSING, Explorer, explore, first_message, link_message

__all__ = ["MISSING", "Explorer", "explore", "first_message", "link_message"]
