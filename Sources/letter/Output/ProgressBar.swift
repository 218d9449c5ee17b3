import Synchronization

/// Progress of long work, on standard error.
///
/// On a terminal it is one line, redrawn at most ten times a second; elsewhere it is a line every 10 s and a last one.
///
/// ```swift
/// let bar = ProgressBar(label: "encoding", total: 1000, unit: "items")
/// bar.update(500)
/// bar.finish()
/// ```
final class ProgressBar: Sendable {
    private let label: String
    private let total: Int
    private let unit: String
    private let start = ContinuousClock.now

    private struct State {
        var shown: ContinuousClock.Instant?
        var done = 0
        /// How much was done before this process started; nil until it is known.
        var base: Int?
        var note = ""
        var isFinished = false
    }
    private let state = Mutex(State())

    /// - Parameters:
    ///   - total: how much there is to do; 0 if that is not known.
    ///   - unit: what is counted, such as `items`.
    init(label: String, total: Int, unit: String = "") {
        self.label = label
        self.total = total
        self.unit = unit
    }

    /// Sets how much was done before this process started, such as before a training run was resumed: the estimate of the
    /// time left must not count it. Only the first call has an effect.
    func begin(at base: Int) {
        state.withLock { $0.base = $0.base ?? base }
    }

    /// Updates how much is done in all, with an optional note of a few words.
    func update(_ done: Int, note: String = "") {
        let now = ContinuousClock.now
        let pause: Duration = Terminal.errorIsTerminal ? .milliseconds(100) : .seconds(10)
        state.withLock {
            $0.done = done
            $0.note = note
            guard now - ($0.shown ?? (Terminal.errorIsTerminal ? start - pause : start)) >= pause else { return }
            $0.shown = now
            draw($0)
        }
    }

    /// Draws the last state and ends the line. Later calls do nothing.
    func finish() {
        state.withLock {
            guard !$0.isFinished else { return }
            $0.isFinished = true
            draw($0)
            if Terminal.errorIsTerminal { Terminal.error("\n") }
        }
    }

    private func draw(_ state: State) {
        let done = state.done
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        var text = "\(label): \(done)"
        if total > 0 { text += "/\(total)" }
        if !unit.isEmpty { text += " \(unit)" }
        if total > 0 { text += " (\(min(100, done * 100 / total)) %)" }
        text += ", \(Self.time(seconds))"
        let own = done - (state.base ?? 0)
        if !state.isFinished, total > done, own > 0, seconds > 2 {
            text += ", \(Self.time(seconds / Double(own) * Double(total - done))) left"
        }
        if !state.note.isEmpty { text += ", \(state.note)" }
        guard Terminal.errorIsTerminal else { return Terminal.error(text + "\n") }
        let width = 24
        let filled = total > 0 ? min(width, width * done / total) : 0
        let blocks = String(repeating: "█", count: filled) + String(repeating: " ", count: width - filled)
        let bar = total > 0 ? "▕\(blocks)▏" : ""
        Terminal.error("\r\u{1B}[K\(bar)\(text)")
    }

    private static func time(_ seconds: Double) -> String {
        let tenths = Int((seconds * 10).rounded())
        guard seconds >= 60 else { return "\(tenths / 10).\(tenths % 10) s" }
        let whole = Int(seconds)
        return whole >= 3600 ? "\(whole / 3600) h \(whole / 60 % 60) min" : "\(whole / 60) min \(whole % 60) s"
    }
}
