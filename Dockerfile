# docker build -t wattloop . && docker run --rm -v wattloop-results:/work/results wattloop
FROM python:3.12-slim
RUN useradd --create-home --uid 1000 wattloop && install -d -o wattloop /work /work/results
COPY pyproject.toml README.md LICENSE /src/
COPY simulators /src/simulators
COPY scenarios /src/scenarios
COPY data /src/data
RUN pip install --no-cache-dir /src && rm -rf /src
USER wattloop
WORKDIR /work
RUN python -m simulators.inference.warmup
ENTRYPOINT ["wattloop"]
CMD ["run"]
