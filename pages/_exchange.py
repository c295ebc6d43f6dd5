"""Feedback out to files, and in from them."""

import tempfile
from pathlib import Path

import streamlit as st

from digit_core.errors import DataUnavailable
from digit_core.feedback import FeedbackStore
from digit_core.feedback_export import Format, export_feedback
from digit_core.feedback_import import import_feedback
from digit_core.model_store import storing
from digit_core.selection import Selection
from pages._operator import guarded_button
from pages._shared import count_drawings, percent, told_errors

FORMATS: dict[Format, str] = {
    "jsonl.gz": "All that is known of each (.jsonl.gz), to import again",
    "csv": "Table (.csv), without drawings",
    "npz": "Images (.npz), in MNIST's shape",
    "zip": "Pictures (.zip of PNG)",
}
MAX_UPLOAD = 200  # MB
state = st.session_state


def show_export(store: FeedbackStore, which: Selection) -> None:
    """Choose a form, have the file made, and download it."""
    st.header("Export", anchor=False)
    count = store.count(which)
    st.caption("What was deleted, or judged by nobody, is written only where it is chosen above.")
    form = st.selectbox("As", list(FORMATS), format_func=FORMATS.__getitem__, key="form", width=360)
    wanted = (form, which, count)
    if st.button(f"Make a file of {count_drawings(count)}", icon=":material/build:", key="make", disabled=not count):
        bar = st.progress(0.0, "Writing")
        with storing(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
            written = export_feedback(
                store, file, form, which, lambda share: bar.progress(share, f"Writing: {percent(share, 0)}")
            )
            file.seek(0)
            state.export = wanted, file.read(), written
        bar.empty()
    made = state.get("export")
    if made and made[0] == wanted:
        size = len(made[1])
        words = f"{size / 1e6:,.1f} MB" if size > 1e5 else f"{size / 1e3:,.1f} KB"
        st.download_button(
            f"Download {count_drawings(made[2])} ({words})",
            made[1],
            f"feedback.{form}",
            "application/octet-stream",
            key="download",
            icon=":material/download:",
            on_click="ignore",
            type="primary",
        )
    else:
        state.pop("export", None)


def show_import(store: FeedbackStore) -> None:
    """Take a file in, and tell what came of it."""
    st.header("Import", anchor=False)
    file = st.file_uploader(
        "An exported file, strokes with labels, or pictures in folders 0 to 9",
        ["jsonl", "gz", "npz", "zip"],
        max_upload_size=MAX_UPLOAD,
        key="import",
        help=f".jsonl.gz, .jsonl, .npz or .zip, up to {MAX_UPLOAD} MB. What is in an exported .jsonl.gz counts once.",
    )
    importing = state.pop("importing", False)
    if file is None:
        return
    guarded_button("Import", ":material/upload:", _begin_import, [], key="do_import", type="primary")
    if not importing:
        return
    name = file.name.lower()
    form = next((form for form in (".jsonl.gz", ".jsonl", ".npz", ".zip") if name.endswith(form)), ".jsonl.gz")
    bar = st.progress(0.0, "Reading")
    with told_errors(), storing(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"imported{form}"  # its own name is not trusted
        path.write_bytes(file.getbuffer())
        try:
            done = import_feedback(store, path, lambda count: bar.progress(0.5, f"{count_drawings(count)} read"))
        except DataUnavailable as error:
            raise DataUnavailable(str(error).replace(str(path), file.name)) from None
        known = f", {done.known:,} known already" if done.known else ""
        st.success(f"{count_drawings(done.added)} added{known}.", icon=":material/check:")
        if done.left_out:
            st.warning(f"{done.left_out:,} could not be used. The first of them:", icon=":material/warning:")
            st.text("\n".join(done.reasons))
    bar.empty()


def _begin_import() -> None:
    state.importing = True
