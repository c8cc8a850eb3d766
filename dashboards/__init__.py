"""Figures and pages: numbers come in, plotly figures and HTML go out. No session, no request, no query."""
