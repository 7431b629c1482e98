"""Choose where the model runs, get it onto this computer, and keep what it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_samhq.session.parts import Part

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Computing"]


class Computing(Part):
    """Says where and when the model works for a session."""

    @property
    def device(self) -> str:
        """Where the model computes, such as "cpu" or "cuda:0"; empty before it was used."""
        scheduler = self._masks.scheduler
        return scheduler.engine.device(scheduler.model)

    def use_device(self, device: str, precision: str = "auto") -> None:
        """Compute elsewhere, or otherwise, see :func:`napari_samhq.load_model`.

        It holds for all sessions that share the engine. Masks that are seen stay.
        """
        self._masks.scheduler.engine.use_device(device, precision)
        self.controller.turn()

    def keep_embeddings(self, folder: str | Path | None) -> None:
        """Keep what the model sees of images in a folder, so that it is there tomorrow.

        What is there already, such as ``napari-samhq embed`` wrote, is found if the model, its
        precision and the contrast limits are the same. It holds for all sessions that share the
        engine. Masks that are seen stay.

        Parameters
        ----------
        folder : str or Path, or None
            Made if it does not exist. Each picture takes 3 MiB there for ``micro`` and 6 for the
            published models, and nothing is ever removed. None keeps it in memory only.

        Raises
        ------
        FileError
            If the folder cannot be made.
        """
        self._masks.scheduler.engine.keep_embeddings(folder)
        self.controller.turn()

    def fetch(self) -> None:
        """Download the model, where that waits for a yes; prompts are answered afterwards."""
        self.controller.fetch()

    def prepare(self) -> None:
        """Have the model look at what is on the screen, so that the first prompt is fast."""
        self._masks.prepare()

    def ask_again(self) -> None:
        """Ask for the masks that are missing, also for those that the user stopped."""
        self._masks.scheduler.resume()
        self.controller.refresh()
