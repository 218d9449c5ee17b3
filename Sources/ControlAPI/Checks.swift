/// How a check ended.
package enum CheckOutcome: String, Codable, Sendable, CaseIterable {
    case ok, failed
}

/// One thing that `letter doctor` or `letter index verify` looked at.
package struct Check: Codable, Sendable, Hashable {
    /// What was looked at: `state`, `registry`, `catalog`, `socket`, `index`, `generation 3`.
    package var subject: String
    /// What was asked of it, such as `quick_check`.
    package var name: String
    package var outcome: CheckOutcome
    /// What was found, one sentence or less.
    package var detail: String
    /// What to do, where it failed.
    package var remedy: String?
    /// How long it took, in milliseconds.
    package var tookMs: Double

    package init(
        subject: String, name: String, outcome: CheckOutcome, detail: String, remedy: String? = nil, tookMs: Double = 0
    ) {
        self.subject = subject
        self.name = name
        self.outcome = outcome
        self.detail = detail
        self.remedy = remedy
        self.tookMs = tookMs
    }

    private enum CodingKeys: String, CodingKey {
        case subject, name, outcome, detail, remedy
        case tookMs = "took_ms"
    }
}

/// All checks that were made.
package struct ChecksAnswer: Codable, Sendable, Hashable {
    /// Whether none failed.
    package var ok: Bool
    package var checks: [Check]

    package init(checks: [Check]) {
        self.checks = checks
        ok = checks.allSatisfy { $0.outcome == .ok }
    }
}
