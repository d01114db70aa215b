"""Which network a container is connected to."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Literal

from docker import APIClient

from pytest_specbench.sandboxes.closing import closed_error


class Network:
    """The network of one container that was made without any. Only one switch is made at a time: who is left behind
    while it switches is waited for, so that the last one who asks has the last word.
    """

    def __init__(self, api: APIClient, container: str) -> None:
        self._api = api
        self._container = container
        self._lock = threading.Lock()
        self._now: Literal["none", "bridge"] = "none"
        self._was_connected = False
        self._is_cut = False

    def switch(self, network: Literal["none", "bridge"]) -> None:
        """Connect to it and to nothing else. Raises the engine's errors, and InfrastructureError after `cut`."""
        with self._lock:
            if self._is_cut:
                raise closed_error()
            if network == self._now:
                return
            if network == "none":
                # Connected to nothing: the container was made so, and a restart therefore brings no network back.
                self._api.disconnect_container_from_network(self._container, "bridge")
            else:
                if not self._was_connected:
                    self._api.disconnect_container_from_network(self._container, "none")
                self._api.connect_container_to_network(self._container, "bridge")
                self._was_connected = True
            self._now = network

    def cut(self) -> None:
        """Disconnect for good from whatever the engine says that it is connected to. Raises the engine's errors."""
        with self._lock:
            settings: Mapping[str, Any] = self._api.inspect_container(self._container)["NetworkSettings"]
            for name in settings.get("Networks") or {}:
                if name != "none":
                    self._api.disconnect_container_from_network(self._container, name)
            self._is_cut = True
