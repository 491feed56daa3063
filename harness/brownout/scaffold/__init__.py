"""New projects: a bootloader and an app for a board, and tests that cut their power (`brownout init`)."""

from brownout.scaffold.project import BOARDS, create_project, project_files

__all__ = ["BOARDS", "create_project", "project_files"]
