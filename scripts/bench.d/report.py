# SPDX-License-Identifier: BSD-3-Clause
"""Rows to a table, to JSON and to a bar chart."""
import json
import statistics
from xml.sax.saxutils import escape

LOWER_IS_BETTER = ("server_cpu_us_per_request", "both_ends_cpu_us_per_request", "p50_us", "p99_us")


def make_row(workload, link, baseline, metric, kernel, shunt, error=None):
    """kernel and shunt are lists of samples, one per run, in the order they were taken."""
    km = statistics.median(kernel) if kernel else None
    sm = statistics.median(shunt) if shunt else None
    row = {"workload": workload, "link": link, "metric": metric, "kernel": km, "shunt": sm,
           "ratio": sm / km if km and sm is not None else None, "runs": {"kernel": kernel, "shunt": shunt},
           "baseline": baseline}
    if error:
        row["error"] = error
    return row


def number(v):
    if v is None:
        return "-"
    return "%.0f" % v if abs(v) >= 1000 else "%.1f" % v if abs(v) >= 100 else "%.2f" % v


def spread(values):
    """Half the distance between smallest and largest, in percent of the median."""
    if len(values) < 2 or not statistics.median(values):
        return ""
    return "±%.0f%%" % (50 * (max(values) - min(values)) / statistics.median(values))


def table(rows):
    head = ["workload", "metric", "baseline", "kernel", "", "shunt", "", "ratio"]
    body = []
    for r in rows:
        ratio = "-" if r["ratio"] is None else "%.2f" % r["ratio"]
        body.append([r["workload"], r["metric"], r["baseline"], number(r["kernel"]), spread(r["runs"]["kernel"]),
                     number(r["shunt"]), spread(r["runs"]["shunt"]), ratio + (" failed" if r.get("error") else "")])
    widths = [max(len(line[i]) for line in [head] + body) for i in range(len(head))]
    right = {3, 4, 5, 6, 7}
    lines = []
    for line in [head] + body:
        lines.append("  ".join(c.rjust(w) if i in right else c.ljust(w)
                               for i, (c, w) in enumerate(zip(line, widths))).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def write_json(rows, path):
    with open(path, "w") as f:
        json.dump(rows, f, indent=1)
        f.write("\n")


def write_svg(rows, path, title, notes):
    """One bar per row: the ratio of medians, with the range of the ratios of neighbouring runs as a whisker."""
    rows = [r for r in rows if r["ratio"]]
    left, width, step, top = 350, 520, 26, 64
    pairs = [[s / k for k, s in zip(r["runs"]["kernel"], r["runs"]["shunt"]) if k] or [r["ratio"]] for r in rows]
    largest = max([1.0] + [max(p + [r["ratio"]]) for r, p in zip(rows, pairs)]) * 1.05
    height = top + step * len(rows) + 24 + 16 * len(notes)

    def x(v):
        return left + width * v / largest

    def label(row):
        several = len({r["baseline"] for r in rows}) > 1
        return "%s, %s%s" % (row["workload"], row["metric"], ", " + row["baseline"] if several else "")

    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">'
           % (left + width + 90, height),
           '<rect width="100%" height="100%" fill="white"/>',
           '<text x="12" y="24" font-size="16" font-weight="bold">%s</text>' % escape(title),
           '<text x="12" y="44" fill="#555">Shunt / kernel, medians; whisker: range over the runs; '
           'for times and CPU (grey) less is better</text>']
    for i, (row, ratios) in enumerate(zip(rows, pairs)):
        y = top + i * step
        lower = row["metric"] in LOWER_IS_BETTER
        good = row["ratio"] <= 1 if lower else row["ratio"] >= 1
        colour = ("#8a9199" if good else "#c9a24b") if lower else ("#3b7dd8" if good else "#d8743b")
        out.append('<text x="%d" y="%d" text-anchor="end">%s</text>'
                   % (left - 8, y + 14, escape(label(row))))
        out.append('<rect x="%d" y="%d" width="%.1f" height="18" fill="%s"/>'
                   % (left, y, x(row["ratio"]) - left, colour))
        out.append('<path d="M%.1f %d H%.1f M%.1f %d v8 M%.1f %d v8" stroke="black" fill="none"/>'
                   % (x(min(ratios)), y + 9, x(max(ratios)), x(min(ratios)), y + 5, x(max(ratios)), y + 5))
        out.append('<text x="%.1f" y="%d">%.2f</text>' % (x(max(ratios + [row["ratio"]])) + 6, y + 14, row["ratio"]))
    bottom = top + step * len(rows)
    out.append('<path d="M%.1f %d V%d" stroke="#c00" stroke-dasharray="4 3"/>' % (x(1), top - 6, bottom))
    out.append('<text x="%.1f" y="%d" fill="#c00" text-anchor="middle">1</text>' % (x(1), top - 9))
    for i, note in enumerate(notes):
        out.append('<text x="12" y="%d" fill="#555">%s</text>' % (bottom + 24 + 16 * i, escape(note)))
    with open(path, "w") as f:
        f.write("\n".join(out + ["</svg>", ""]))
