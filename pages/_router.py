"""The pages, their titles and their order."""

from pathlib import Path

import streamlit as st

from pages._operator import show_lock

st.set_page_config(
    page_title="Digit Lab",
    page_icon=str(Path(__file__).parent / "_icon.png"),  # a page's own icon would be fetched from another host
    layout="wide",
)
page = st.navigation(
    [
        st.Page("draw.py", title="Draw", icon=":material/draw:", default=True),
        st.Page("train.py", title="Train", icon=":material/model_training:"),
        st.Page("models.py", title="Models", icon=":material/leaderboard:"),
        st.Page("collect.py", title="Collect", icon=":material/edit_note:"),
        st.Page("feedback.py", title="Feedback", icon=":material/rate_review:"),
        st.Page("learn.py", title="Learn", icon=":material/school:"),
    ],
    position="top",
)
show_lock(page.url_path)
page.run()
