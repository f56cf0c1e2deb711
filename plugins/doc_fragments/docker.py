# -*- coding: utf-8 -*-
# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # How every module of this collection reaches the Docker Engine.
    DOCUMENTATION = r"""
options:
  docker_host:
    description:
      - URL of the Docker Engine, V(unix:///path) or V(tcp://host:port).
      - If not set, the environment variable E(DOCKER_HOST) of the managed host is used. Contexts of the C(docker)
        program are not.
    type: str
    default: unix:///var/run/docker.sock
    aliases: [docker_url]
  tls:
    description:
      - Use TLS for a V(tcp://) connection, without checking the server's certificate.
      - If not set, the environment variable E(DOCKER_TLS) is used.
    type: bool
    default: false
  validate_certs:
    description:
      - Use TLS for a V(tcp://) connection and check the server's certificate.
      - If not set, the environment variable E(DOCKER_TLS_VERIFY) is used.
    type: bool
    default: false
    aliases: [tls_verify]
  tls_hostname:
    description:
      - Name that the server's certificate has to be for, if it is another than that in O(docker_host).
      - If not set, the environment variable E(DOCKER_TLS_HOSTNAME) is used.
    type: str
    version_added: 0.2.0
  ca_path:
    description:
      - File on the managed host with the certificate of the authority that signed the server's certificate.
      - If not set, it is C(ca.pem) in the folder E(DOCKER_CERT_PATH), where E(DOCKER_TLS_VERIFY) is set too.
    type: path
    aliases: [ca_cert, tls_ca_cert, cacert_path]
  client_cert:
    description:
      - File on the managed host with the client's TLS certificate.
      - If not set, it is C(cert.pem) in the folder E(DOCKER_CERT_PATH), where E(DOCKER_TLS_VERIFY) is set too.
    type: path
    aliases: [tls_client_cert, cert_path]
  client_key:
    description:
      - File on the managed host with the client's TLS key.
      - If not set, it is C(key.pem) in the folder E(DOCKER_CERT_PATH), where E(DOCKER_TLS_VERIFY) is set too.
    type: path
    aliases: [tls_client_key, key_path]
  timeout:
    description:
      - Seconds without any answer after which a request to the engine is given up.
      - Saving a large image can keep the engine silent for minutes.
    type: int
    default: 600
requirements:
  - Python >= 3.9 and Docker SDK for Python >= 5.0.3 on the managed host
  - Docker Engine API >= 1.41 (Docker Engine 20.10, or Podman 4)
"""

    # Options of the modules that write or read a compressed file.
    COMPRESSION = r"""
options:
  compression:
    description:
      - How the file is compressed. V(zstd) and V(gzip) need the program of that name on the managed host.
      - The file's name should end accordingly; the modules write what they are told and do not add an ending.
    type: str
    choices: [zstd, gzip, none]
    default: zstd
  compression_level:
    description: Level of the compressor, V(1) (fast) to V(19) for zstd or V(9) for gzip. The default is 3 and 6.
    type: int
  processes:
    description: How many cores zstd may use, V(0) for all.
    type: int
    default: 0
"""

    # How a tree of files is reached.
    TRANSPORT = r"""
options:
  transport:
    description:
      - V(direct) reads and writes the files as root on the Docker host, which is several times faster. It needs a
        local engine on a unix socket, and the module to run as root.
      - V(api) goes through the Docker API alone.
      - V(auto) takes the direct way when it is there.
    type: str
    choices: [auto, direct, api]
    default: auto
"""

    # The tree that is meant.
    TREE = r"""
options:
  volume:
    description:
      - Name of a Docker volume. O(path) is then a path inside the volume.
      - Mutually exclusive with O(container).
    type: str
  container:
    description:
      - Name or ID of a container. O(path) is then an absolute path inside the container, which may lie in its
        writable layer, its image, a volume or a bind mount.
    type: str
  path:
    description:
      - Path of the tree, or of a single file.
      - Without O(volume) and O(container), an absolute path on the Docker host, such as the source of a bind mount.
    type: str
    default: /
"""
