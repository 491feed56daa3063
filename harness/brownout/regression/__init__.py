"""What changed since a baseline: which cases broke, since when, with the evidence and how to replay each.

document = build_document(store, Choice(baseline="main"))
files = render_all(document)    # index.html, report.md, junit.xml, findings.sarif, report.json
"""
