# `docker build --target serve .` reads digits; `docker build .` trains too, and takes 1.3 GB more.
FROM python:3.12-slim AS serve
ENV PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 HOME=/tmp \
    DIGIT_LAB_MODELS=/data/models DIGIT_LAB_DATA=/data/downloads \
    DIGIT_LAB_DATABASE_URL=sqlite:////data/feedback.sqlite3
WORKDIR /app
COPY requirements-serve.txt .
RUN pip install -r requirements-serve.txt "psycopg[binary]~=3.3"
COPY . .
RUN useradd --uid 1000 digits && mkdir /data && chown digits /data
USER digits
VOLUME /data
EXPOSE 8501
HEALTHCHECK --start-period=30s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/api/health', timeout=4)"]
CMD ["python", "-m", "uvicorn", "streamlit_app:app", "--host", "0.0.0.0", "--port", "8501", "--no-access-log", "--timeout-graceful-shutdown", "8"]

FROM serve AS train
USER root
# The package without GPU code is a quarter of the other; it exists for these processors only.
RUN if [ "$(uname -m)" = x86_64 ]; then sed -i 's/^tensorflow~/tensorflow-cpu~/' requirements-train.txt; fi \
    && pip install -r requirements-train.txt
USER digits

FROM train AS cluster
USER root
RUN pip install -r requirements-ray.txt
USER digits

FROM train
