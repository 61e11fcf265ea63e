# One image for all four services; the chart names the one to run. Two stages: the second has no
# compiler, no cache and no source but what is installed.
#
#   docker build -t tiercel:0.1.0 .
#   docker build -t tiercel:0.1.0-torch --build-arg EXTRAS=torch .
#   ... --build-arg TORCH_INDEX=URL   of an index with builds of torch without CUDA
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ARG EXTRAS=""
ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_EXTRA_INDEX_URL=${TORCH_INDEX}
RUN python -m venv /opt/tiercel
ENV PATH=/opt/tiercel/bin:$PATH
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY native native
COPY tiercel tiercel
COPY services services
RUN pip install -c constraints.txt ".${EXTRAS:+[$EXTRAS]}"

FROM python:${PYTHON}
RUN groupadd --gid 10001 tiercel \
    && useradd --uid 10001 --gid 10001 --create-home tiercel \
    && install -d -o tiercel -g tiercel /var/cache/tiercel
COPY --from=build /opt/tiercel /opt/tiercel
# The root file system may be read-only: everything that is written goes to /tmp and to the cache.
ENV PATH=/opt/tiercel/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    TIERCEL_CACHE=/var/cache/tiercel \
    HF_HOME=/var/cache/tiercel/huggingface
USER 10001:10001
WORKDIR /
EXPOSE 50050 50051 50070 50061 9090
CMD ["python", "-m", "services.router"]
