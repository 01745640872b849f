# tempme serve in a container. The token comes from the environment (TEMPME_TOKEN), videos are mounted at
# /videos, the index is a volume at /index; it has to exist: docker run ... tempme index /videos -i /index/videos.tempme
FROM python:3.11-slim-bookworm

RUN useradd --create-home --uid 1000 tempme \
    && mkdir /index /videos \
    && chown 1000:1000 /index

WORKDIR /opt/tempme
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY src ./src
RUN pip install --no-cache-dir --constraint constraints.txt ".[serve]"

USER 1000:1000
VOLUME ["/index"]
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/v1/ready')"]
ENTRYPOINT ["tempme"]
CMD ["serve", "--index", "/index/videos.tempme", "--host", "0.0.0.0", "--root", "/videos", "--watch"]
