"""The paper's tables and figures, each from one command, the published figures beside ours."""
