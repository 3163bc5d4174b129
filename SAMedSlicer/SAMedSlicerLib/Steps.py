"""Work on the main thread in pieces, so that the window stays alive."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from slicer.i18n import tr as _

from SAMedSlicerLib.Host import Timer


class Steps:
    """Takes one piece after another from a generator, each in a turn of the event loop.

    Args:
        timer: a repeating timer of this object alone.
        work: yields what is done next, in a sentence, before it does it. It is closed if the work is stopped.
        onStep: gets these sentences.
        onFinished: called once with a message, "" if all was done.
        expected: exceptions whose text is for the user; others are logged and named.
    """

    def __init__(
        self,
        timer: Timer,
        work: Iterator[str],
        onStep: Callable[[str], None],
        onFinished: Callable[[str], None],
        expected: tuple[type[Exception], ...] = (),
    ) -> None:
        self._timer = timer
        self._work = work
        self._onStep = onStep
        self._onFinished = onFinished
        self._expected = expected
        self._inside = False
        self._stopped = False
        timer.interval = 0
        timer.connect("timeout()", self._next)

    def start(self) -> None:
        self._timer.start()

    def stop(self) -> None:
        """No further piece; onFinished does not follow."""
        self._release()
        if not self._inside:
            self._work.close()

    def _next(self) -> None:
        if self._inside or self._stopped:  # a piece that shows a question lets the timer run on
            return
        self._inside = True
        message = ""
        try:
            self._onStep(next(self._work))
            finished = False
        except StopIteration:
            finished = True
        except self._expected as error:
            finished, message = True, str(error)
        except Exception as error:
            logging.getLogger(__name__).exception("The panel could not go on.")
            reason = str(error).rstrip(".") or type(error).__name__
            finished, message = True, _("Something unexpected happened: {reason}.").format(reason=reason)
        finally:
            self._inside = False
        if self._stopped:
            self._work.close()
        elif finished:
            self._release()
            self._onFinished(message)

    def _release(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._timer.stop()
            self._timer.deleteLater()  # it keeps this object alive, and nothing else ends it
