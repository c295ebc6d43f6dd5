"""One model: its figures, what can be done with it, where it errs, its layers and settings, and it as files."""

from functools import partial

import pandas as pd
import streamlit as st

from digit_core.architectures import list_layers
from digit_core.errors import InvalidConfig
from digit_core.exams import Marks
from digit_core.model_archive import export_model
from digit_core.model_card import list_figures, list_sources
from digit_core.model_store import NETWORK_FILES, is_starter, load_default, load_evaluation, read_model_file
from digit_core.settings import Settings
from digit_core.training import check_config
from digit_core.types import ModelInfo, name_of
from pages._errors import show_errors
from pages._form import tell_settings
from pages._run_actions import offer_model_actions
from pages._shared import switch, told_errors, wait_for

VIEWS = {
    "errors": ":material/grid_on: Where it errs",
    "network": ":material/hub: Layers and settings",
    "files": ":material/download: Files",
}
FILES = {
    ".zip": ("All of it (.zip)", "To keep, or to bring into another Digit Lab", "application/zip"),
    ".keras": ("Network for Keras (.keras)", "To train on, or to look into", "application/octet-stream"),
    ".tflite": ("Network for LiteRT (.tflite)", "To read with, on phones too", "application/octet-stream"),
    ".md": ("Card (.md)", "What it is, learned from and is for, with its figures", "text/markdown"),
}


def show_model(info: ModelInfo, marks: Marks | None, settings: Settings) -> None:
    """All that is known of one model; marks: how it did on the stress drawings."""
    reads = ", the model for everyone" if load_default(settings) == info.model_id else ""
    kind = "" if is_starter(info.model_id) else f", {info.architecture.upper()}"
    st.header(f"{name_of(info.model_id)}{kind}{reads}", anchor=False)
    with st.container(horizontal=True, key="model_actions"):
        offer_model_actions(info.model_id, settings)
    view = switch("View of the model", VIEWS, "model_view", persist_state="session")
    with told_errors():
        if view == "errors":
            show_errors(info, settings)
        elif view == "network":
            left, right = st.columns(2, gap="large")
            with left:
                _show_figures(info, marks, settings)
                _show_settings(info)
            with right:
                _show_layers(info)
                st.markdown("**Learned from**\n" + "\n".join(f"\n- {line}" for line in list_sources(info)))
        else:
            _offer_files(info, settings)


def _show_figures(info: ModelInfo, marks: Marks | None, settings: Settings) -> None:
    figures = list_figures(info, load_evaluation(info, settings), marks)
    st.markdown("**Figures**")
    st.table(pd.DataFrame({"figure": figures}).rename_axis("what"))
    if marks is None:
        st.caption("It has not read the stress drawings yet, nor been timed.")


def _show_layers(info: ModelInfo) -> None:
    try:
        check_config(info.config)
        layers = list_layers(info.config) if not info.imported else []
    except InvalidConfig:
        layers = []
    if sum(layer.parameters for layer in layers) != info.parameters:
        why = "it was made elsewhere, and came in as a file" if info.imported else "its settings make another network"
        st.info(f"Its layers are not known: {why}.", icon=":material/hub:")
    else:
        st.markdown("**Layers**, and what each does for one image")
        table = pd.DataFrame(
            {
                "layer": [layer.name for layer in layers],
                "gives": [" × ".join(map(str, layer.shape)) for layer in layers],
                "parameters": [layer.parameters for layer in layers],
                "multiplications": [layer.multiplications for layer in layers],
            }
        )
        count = st.column_config.NumberColumn(format="localized")
        st.dataframe(
            table,
            hide_index=True,
            height="content",
            column_config={"parameters": count, "multiplications": count},
            key="layers",
            alt="The layers in their order: the shape of what each gives, its parameters and multiplications",
        )
        parameters, multiplications = (int(table[name].sum()) for name in ("parameters", "multiplications"))
        st.caption(
            f"Together {parameters:,} parameters and {multiplications:,} multiplications for a look at an image."
        )


def _show_settings(info: ModelInfo) -> None:
    if not info.imported:
        st.markdown("**Settings** that it was trained with")
        st.table(pd.DataFrame({"value": tell_settings(info.config)}).rename_axis("setting"))


def _offer_files(info: ModelInfo, settings: Settings) -> None:
    for name in NETWORK_FILES:  # a download itself could tell no error
        read_model_file(info, name, settings)
    for ending, (label, words, kind) in FILES.items():
        with st.container(horizontal=True, vertical_alignment="center", key=f"file_{ending[1:]}"):
            st.download_button(
                label,
                partial(export_model, info, ending, settings),
                f"{info.model_id}{ending}",
                kind,
                icon=":material/download:",
                on_click="ignore",
                key=f"download_{ending[1:]}",
                width=260,
            )
            st.caption(words, width="content")
    with st.expander("The card"):
        st.markdown(wait_for(lambda: export_model(info, ".md", settings)).decode())
