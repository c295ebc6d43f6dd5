"""The pages, their titles and their order."""

from pathlib import Path

import streamlit as st

from digit_core.errors import DigitError
from digit_core.settings import read_settings

st.set_page_config(
    page_title="Digit Lab",
    page_icon=str(Path(__file__).parent / "_icon.png"),  # a page's own icon would be fetched from another host
    layout="wide",
)
try:
    read_settings()
except DigitError as error:
    st.error(str(error), icon=":material/error:")
    st.stop()
st.navigation(
    [
        st.Page("draw.py", title="Draw", icon=":material/draw:", default=True),
        st.Page("train.py", title="Train", icon=":material/model_training:"),
        st.Page("collect.py", title="Collect", icon=":material/edit_note:"),
        st.Page("feedback.py", title="Feedback", icon=":material/rate_review:"),
        st.Page("learn.py", title="Learn", icon=":material/school:"),
    ],
    position="top",
).run()
