"""The pages, their titles and their order."""

from pathlib import Path

import streamlit as st

from pages._operator import show_lock

# On the light blue of the dark theme's buttons and tags, dark letters can be read; and answers are the largest figures.
LOOK = """<style>
[data-testid^="stBaseButton-primary"], [data-tag] * { color: light-dark(#ffffff, #10161d); }
[class*="st-key-answer_"] [data-testid="stMetricValue"] { font-size: 3.5rem; }
.stMainBlockContainer { max-width: 90rem; padding-top: 4rem; }
.st-key-close_menu { position: absolute; }
.st-key-run { scroll-margin-top: 4rem; }
@media (min-width: 640px) and (max-width: 960px) { .stColumn .stColumn { min-width: 100%; } }
</style>"""
# On a narrow screen the menu is a drawer, which Streamlit leaves open over the page that was chosen in it. The script
# runs where it differs from what stood there: once for each page.
CLOSE_MENU = """<script>
/* {} */ document.querySelector("[data-testid=stSidebarCollapseButton] button")?.click();
</script>"""

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
        st.Page("guide.py", title="Guide", icon=":material/menu_book:"),
    ],
    position="top",
)
st.logo(str(Path(__file__).parent / "_logo.svg"))
st.html(LOOK)
with st.container(key="close_menu"):
    st.html(CLOSE_MENU.format(page.title), unsafe_allow_javascript=True)
show_lock(page.url_path)
page.run()
