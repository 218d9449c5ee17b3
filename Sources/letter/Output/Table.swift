/// A table for people: aligned columns, numbers to the right, lines cut at the terminal's edge.
struct Table {
    /// One column.
    struct Column {
        var title: String
        var isNumber = false

        static func text(_ title: String) -> Column { Column(title: title) }
        static func number(_ title: String) -> Column { Column(title: title, isNumber: true) }
    }

    var columns: [Column]
    var rows: [[String]] = []

    init(_ columns: Column...) {
        self.columns = columns
    }

    /// Adds a row. Control characters are shown as `�`, so that text from a catalog cannot control the terminal.
    mutating func add(_ cells: String...) {
        rows.append(
            cells.map { cell in
                String(cell.map { $0.unicodeScalars.contains { $0.properties.generalCategory == .control } ? "�" : $0 })
            })
    }

    /// The table's lines, at most `width` columns wide.
    func lines(width: Int?) -> [String] {
        let titles = columns.map(\.title)
        let widths = columns.indices.map { index in ([titles] + rows).map { $0[index].count }.max() ?? 0 }
        return ([titles] + rows).map { cells in
            let padded = cells.indices.map { index -> String in
                let space = String(repeating: " ", count: widths[index] - cells[index].count)
                return columns[index].isNumber ? space + cells[index] : cells[index] + space
            }
            var line = padded.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            guard let width, line.count > width else { return line }
            return line.prefix(width - 1) + "…"
        }
    }

    /// Prints it to standard output.
    func print() {
        for line in lines(width: Terminal.width) { Terminal.line(line) }
    }
}
