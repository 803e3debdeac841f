# The page and REST of triaffect, for others to reach: docs/how-to/use-the-app.md says how to run it.
FROM python:3.12-slim-bookworm

WORKDIR /build
COPY pyproject.toml requirements.txt README.md LICENSE ./
COPY src ./src
RUN python -m pip install --no-cache-dir --constraint requirements.txt ".[app]"

RUN useradd --create-home triaffect && mkdir /history && chown triaffect /history
USER triaffect
WORKDIR /history
VOLUME /history
EXPOSE 8765
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8765/health')"]
# Needs TRIAFFECT_TOKEN in the environment, as it listens beyond this machine.
CMD ["triaffect", "app", "--host", "0.0.0.0", "--port", "8765", "--folder", "/history", "--no-browser"]
