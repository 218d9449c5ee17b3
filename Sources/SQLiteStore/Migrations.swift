/// The migrations of a schema file: numbered blocks of SQL, applied in order, each once.
///
/// ```sql
/// -- migration 1: items
/// CREATE TABLE item (id BLOB NOT NULL PRIMARY KEY) STRICT;
/// -- migration 2: when each was added
/// ALTER TABLE item ADD COLUMN since INTEGER;
/// ```
package struct Migrations: Sendable {
    /// One migration.
    package struct Step: Sendable {
        /// Its number; `PRAGMA user_version` after it was applied.
        package let number: Int
        /// Its statements.
        package let sql: String
    }

    /// The steps, numbered from 1 without gaps.
    package let steps: [Step]

    /// Splits the text of a schema file. O(length).
    ///
    /// - Precondition: the steps are numbered 1, 2, 3, …; the file is compiled into the program, so a gap is a defect.
    package init(schema: [UInt8]) {
        var steps: [Step] = []
        var current: [Substring] = []
        var number = 0
        func close() { if number > 0 { steps.append(Step(number: number, sql: current.joined(separator: "\n"))) } }
        for line in String(decoding: schema, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("-- migration ") {
                close()
                current = []
                number += 1
                precondition(line.hasPrefix("-- migration \(number):"), "migrations are not numbered in order")
            } else {
                current.append(line)
            }
        }
        close()
        self.steps = steps
    }

    /// Number of the last step: the `user_version` of an up-to-date file.
    package var latest: Int { steps.count }
}
