# The commands, on a CPU, with the very versions of requirements.lock:
#   docker build -t attention-lab .
#   docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" attention-lab attention-train --config=smoke
FROM python:3.12-slim AS build
WORKDIR /source
COPY requirements.lock ./
RUN python -m venv /opt/attention-lab \
    && /opt/attention-lab/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN /opt/attention-lab/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12-slim
COPY --from=build /opt/attention-lab /opt/attention-lab
# Runs and caches lie in /work, which whoever the container runs as can write when it is a folder of theirs.
ENV PATH=/opt/attention-lab/bin:$PATH HOME=/work
RUN mkdir /work && chown 1000:1000 /work
USER 1000:1000
WORKDIR /work
CMD ["attention-train", "--help"]
