"""Digit Lab: `streamlit run streamlit_app.py`, or `uvicorn streamlit_app:app`, in this folder."""

import streamlit as st

app = st.App("pages/_router.py")
