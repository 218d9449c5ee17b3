extension HTMLReport {
    /// The style sheet: system fonts, and colours for light and dark mode.
    static let style = """

        :root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --paper: #ffffff;
          --card: #f6f8fa; --accent: #0b5cad; }
        @media (prefers-color-scheme: dark) {
          :root { --ink: #e6edf3; --soft: #9aa4ae; --line: #333b44; --paper: #0f1318; --card: #181e25; --accent: #6cb2ff; }
        }
        * { box-sizing: border-box; }
        body { margin: 0 auto; max-width: 960px; padding: 24px 20px 64px; background: var(--paper); color: var(--ink);
          font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
        h1 { font-size: 24px; font-weight: 400; margin: 0 0 4px; overflow-wrap: anywhere; }
        h2 { font-size: 18px; margin: 40px 0 4px; }
        .note, figcaption, small, .card span { color: var(--soft); }
        .note { margin: 0 0 12px; max-width: 78ch; overflow-wrap: anywhere; }
        .cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(165px, 100%), 1fr)); gap: 12px; margin-top: 20px; }
        .card { display: flex; flex-direction: column; padding: 12px 14px; border: 1px solid var(--line);
          border-radius: 8px; background: var(--card); }
        .card span, .card small { font-size: 13px; }
        .card strong { font-size: 22px; font-weight: 600; }
        figure { margin: 0; }
        figcaption { font-size: 13px; margin-top: 4px; }
        svg { display: block; width: 100%; height: auto; }
        .maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(380px, 100%), 1fr)); gap: 24px; }
        .wide { overflow-x: auto; }
        .wide svg { min-width: 700px; }
        table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
        th, td { padding: 4px 18px 4px 0; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
        th { color: var(--soft); font-weight: 600; }
        th.n, td.n { text-align: right; }
        svg text { fill: var(--soft); font-size: 12px; font-family: inherit; }
        svg .mid { text-anchor: middle; }
        svg .end { text-anchor: end; }
        svg .value { fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
        svg .bar, svg .code { fill: var(--accent); }
        svg .code { fill: color-mix(in oklab, var(--accent) var(--s), var(--paper)); stroke: var(--paper); }
        svg .grid, svg .axis { stroke: var(--line); }
        svg .axis { stroke: var(--soft); }
        svg .even { stroke: var(--ink); stroke-dasharray: 5 4; }
        svg .frame { fill: none; stroke: var(--line); }
        svg .dead { fill: var(--paper); stroke: var(--soft); stroke-width: 0.6px; }
        @media print { section { break-inside: avoid; } }

        """
}
