package import Core

/// The result of one check of `letter doctor` or `letter index verify`: a `Finding` and what was checked.
package struct Check: Codable, Sendable, Hashable {
    /// What was checked: `state`, `registry`, `catalog`, `socket`, `index`, `generation 3`.
    package var subject: String
    /// Name of the check, such as `quick_check`.
    package var name: String
    package var outcome: CheckOutcome
    /// What the check found, at most one sentence.
    package var detail: String
    /// What to do about a failed check.
    package var remedy: String?
    /// How long the check took, in milliseconds.
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

    /// A finding about `subject`. A failed check without a remedy of its own gets `remedy`.
    package init(subject: String, _ finding: Finding, remedy: String? = nil) {
        self.init(
            subject: subject, name: finding.name, outcome: finding.outcome, detail: finding.detail,
            remedy: finding.remedy ?? (finding.outcome == .failed ? remedy : nil),
            tookMs: finding.took / .milliseconds(1))
    }

    private enum CodingKeys: String, CodingKey {
        case subject, name, outcome, detail, remedy
        case tookMs = "took_ms"
    }
}

/// The results of all checks of one run.
package struct ChecksAnswer: Codable, Sendable, Hashable {
    /// True if no check failed.
    package var ok: Bool
    package var checks: [Check]

    package init(checks: [Check]) {
        self.checks = checks
        ok = checks.allSatisfy { $0.outcome == .ok }
    }
}
