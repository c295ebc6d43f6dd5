"""Digit Lab: `streamlit run streamlit_app.py`, or `uvicorn streamlit_app:app`, in this folder."""

import streamlit as st
from streamlit import net_util

net_util.get_external_ip = lambda: None  # it would ask another host for this machine's address
st.secrets.load_if_toml_exists()  # they become variables of the environment, which the API reads when it is imported

from digit_core.api import app as api  # noqa: E402

app = st.App("pages/_router.py", routes=api.routes, lifespan=api.router.lifespan_context)
