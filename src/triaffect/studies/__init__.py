"""Studies: who is in the clips and what happened when, measures of people, groups compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.studies.events import Event, Events
    from triaffect.studies.groups import Groups
    from triaffect.studies.measures import StudyMeasures
    from triaffect.studies.people import People
    from triaffect.studies.study import Study, StudyWarning

__all__ = ["Event", "Events", "Groups", "People", "Study", "StudyMeasures", "StudyWarning"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "events": ["Event", "Events"],
        "groups": ["Groups"],
        "measures": ["StudyMeasures"],
        "people": ["People"],
        "study": ["Study", "StudyWarning"],
    },
)
