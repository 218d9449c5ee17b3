import Foundation
import Tokenizer
import TokenizerEvaluation

/// Figure 6 of the paper: the share of items of each first-level code, in groups of 15, the most frequent first.
struct FrequencyFigure {
    let evaluation: Evaluation

    /// Bars at most; the caption sums up the rest.
    private static let limit = 40
    private static let (width, height) = (860.0, 300.0)
    private static let (left, right, top, bottom) = (52.0, 12.0, 22.0, 44.0)

    func svg() -> String {
        let groups = evaluation.firstLevelGroups
        let shown = groups.prefix(Self.limit)
        let items = Double(evaluation.items)
        let greatest = shown.map { Double($0.items) / items }.max() ?? 1
        let (step, end) = Self.axis(greatest)
        let (plotWidth, plotHeight) = (Self.width - Self.left - Self.right, Self.height - Self.top - Self.bottom)
        func y(_ share: Double) -> Double { Self.top + plotHeight * (1 - share / end) }
        var svg = SVG(width: Self.width, height: Self.height, label: "Share of items by group of 15 first-level codes")
        for tick in 0...Int((end / step).rounded()) {
            let share = Double(tick) * step
            svg.line(Self.left, y(share), Self.width - Self.right, y(share), style: "grid")
            svg.text(Self.left - 6, y(share) + 4, Self.percent(share), style: "end")
        }
        // The same number of items for every code; drawn under the bars and their labels.
        let even = y(Double(Evaluation.CodeGroup.size) / Double(evaluation.codesPerLevel))
        if even > Self.top, even < y(0) - 3, evaluation.codesPerLevel > Evaluation.CodeGroup.size {
            svg.line(Self.left, even, Self.width - Self.right, even, style: "even")
        }
        let slot = plotWidth / Double(shown.count)
        let bar = max(1, slot * 0.78)
        // If labels would touch, only every second, third, … is drawn.
        let last = evaluation.codesPerLevel
        let every = max(1, Int((7 * Double("\(last)–\(last)".count) + 6) / slot + 1))
        var start = 1
        for (number, group) in shown.enumerated() {
            let share = Double(group.items) / items
            let x = Self.left + slot * (Double(number) + 0.5)
            let range = group.codes > 1 ? "\(start)–\(start + group.codes - 1)" : "\(start)"
            svg.rectangle(
                x - bar / 2, y(share), bar, y(0) - y(share), style: "bar",
                title: "codes \(range) by frequency: \(group.items) items")
            if number % every == 0 { svg.text(x, y(0) + 16, range, style: "mid") }
            if slot >= 30, share > 0 { svg.text(x, y(share) - 5, Self.short(share), style: "mid value") }
            start += group.codes
        }
        svg.line(Self.left, y(0), Self.width - Self.right, y(0), style: "axis")
        var caption = "first-level codes, sorted by frequency"
        let hidden = groups.dropFirst(Self.limit)
        if !hidden.isEmpty {
            let share = Double(hidden.reduce(0) { $0 + $1.items }) / items
            caption += " (\(hidden.count) more groups have \(EvaluationTables.percent(share)) of the items)"
        }
        svg.text(Self.left + plotWidth / 2, Self.height - 8, caption, style: "mid")
        return svg.text()
    }

    /// Distance of the grid lines, 1, 2, 2.5 or 5 times a power of ten, and the end of the axis.
    private static func axis(_ greatest: Double) -> (step: Double, end: Double) {
        let rough = max(greatest, 1e-9) / 4
        let power = pow(10, floor(log10(rough)))
        let step = [1.0, 2, 2.5, 5, 10].map { $0 * power }.first { $0 >= rough } ?? rough
        return (step, (greatest / step - 1e-9).rounded(.up) * step)
    }

    private static func percent(_ share: Double) -> String { String(format: "%g %%", share * 100) }

    private static func short(_ share: Double) -> String {
        String(format: share < 0.0995 ? "%.1f" : "%.0f", share * 100)
    }
}

/// Figure 7 of the paper: one level's codes along their principal components, with a stronger colour for more items.
struct CodeMapFigure {
    let level: Int
    let map: CodeMap
    let counts: [Int]

    /// Points at most; those with the most items are drawn.
    private static let limit = 4_096
    private static let (size, margin) = (400.0, 16.0)

    func html() -> String {
        let order = counts.indices.sorted { (counts[$0], $1) > (counts[$1], $0) }.prefix(Self.limit)
        let greatest = max(1, counts.max() ?? 1)
        let (x, y) = (map.points.map(\.x), map.points.map(\.y))
        let (lowX, highX, lowY, highY) = (x.min() ?? 0, x.max() ?? 0, y.min() ?? 0, y.max() ?? 0)
        // The same scale for both axes, so that distances are not distorted.
        let extent = max(highX - lowX, highY - lowY, 1e-12)
        let scale = (Self.size - 2 * Self.margin) / extent
        func place(_ code: Int) -> (x: Double, y: Double) {
            (
                Self.size / 2 + (x[code] - (lowX + highX) / 2) * scale,
                Self.size / 2 - (y[code] - (lowY + highY) / 2) * scale
            )
        }
        let name = EvaluationTables.level(level)
        var svg = SVG(
            width: Self.size, height: Self.size, label: "Codes of level \(name) along two principal components")
        svg.rectangle(0.5, 0.5, Self.size - 1, Self.size - 1, style: "frame")
        let radius = counts.count > 1024 ? 3.0 : 5.0
        // The most frequent codes last, on top.
        for code in order.reversed() {
            let (x, y) = place(code)
            let title = "\(name)_\(code): \(counts[code]) items"
            if counts[code] == 0 {
                svg.circle(x, y, radius * 0.5, style: "dead", title: title)
            } else {
                let strength = 0.15 + 0.85 * (Double(counts[code]) / Double(greatest)).squareRoot()
                svg.circle(x, y, radius, style: "code", strength: strength, title: title)
            }
        }
        let shares = [map.explained.first, map.explained.second].map { String(format: "%.0f %%", $0 * 100) }
        var caption =
            "<b>Level \(name)</b>: \(counts.count { $0 > 0 }) codes in use, at most \(greatest) items on one; "
        caption += "the components explain \(shares[0]) and \(shares[1]) of the variance"
        if counts.count > Self.limit { caption += "; the \(Self.limit) most frequent codes are drawn" }
        return "<figure>\(svg.text())<figcaption>\(caption).</figcaption></figure>"
    }
}

/// Builds one SVG drawing.
struct SVG {
    private var elements: [String] = []
    private let opening: String

    /// - Parameter label: a description for screen readers.
    init(width: Double, height: Double, label: String) {
        opening =
            "<svg viewBox=\"0 0 \(Self.number(width)) \(Self.number(height))\" role=\"img\" "
            + "aria-label=\"\(HTMLReport.escaped(label))\" xmlns=\"http://www.w3.org/2000/svg\">"
    }

    mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, style: String) {
        elements.append(
            "<line class=\"\(style)\" x1=\"\(Self.number(x1))\" y1=\"\(Self.number(y1))\" x2=\"\(Self.number(x2))\" "
                + "y2=\"\(Self.number(y2))\"/>")
    }

    mutating func rectangle(
        _ x: Double, _ y: Double, _ width: Double, _ height: Double, style: String, title: String? = nil
    ) {
        elements.append(
            "<rect class=\"\(style)\" x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" width=\"\(Self.number(width))\" "
                + "height=\"\(Self.number(height))\"" + Self.end("rect", title))
    }

    mutating func circle(
        _ x: Double, _ y: Double, _ radius: Double, style: String, strength: Double? = nil, title: String? = nil
    ) {
        // A mix of colours rather than opacity: overlapping points must not appear stronger.
        let mix = strength.map { " style=\"--s:\(Self.number(100 * $0))%\"" } ?? ""
        elements.append(
            "<circle class=\"\(style)\" cx=\"\(Self.number(x))\" cy=\"\(Self.number(y))\" r=\"\(Self.number(radius))\""
                + mix + Self.end("circle", title))
    }

    mutating func text(_ x: Double, _ y: Double, _ text: String, style: String) {
        elements.append(
            "<text class=\"\(style)\" x=\"\(Self.number(x))\" y=\"\(Self.number(y))\">\(HTMLReport.escaped(text))</text>"
        )
    }

    /// The drawing.
    func text() -> String { ([opening] + elements + ["</svg>"]).joined(separator: "\n") }

    private static func end(_ element: String, _ title: String?) -> String {
        title.map { "><title>\(HTMLReport.escaped($0))</title></\(element)>" } ?? "/>"
    }

    /// Two decimal places, which are finer than any screen.
    private static func number(_ value: Double) -> String {
        let text = String(format: "%.2f", value)
        guard text.contains(".") else { return text }
        let trimmed = text.reversed().drop { $0 == "0" }.drop { $0 == "." }
        return String(trimmed.reversed())
    }
}
