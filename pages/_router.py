"""The pages, their titles and their order."""

from pathlib import Path

import streamlit as st

st.set_page_config(
    page_title="Digit Lab",
    page_icon=str(Path(__file__).parent / "_icon.png"),  # a page's own icon would be fetched from another host
    layout="wide",
)
st.navigation(
    [
        st.Page("draw.py", title="Draw", icon=":material/draw:", default=True),
        st.Page("train.py", title="Train", icon=":material/model_training:"),
        st.Page("feedback.py", title="Feedback", icon=":material/rate_review:"),
    ],
    position="top",
).run()
