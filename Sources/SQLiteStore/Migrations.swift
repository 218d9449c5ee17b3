/// The numbered steps of a schema file: each begins with a line `-- migration N: title`.
package struct Migrations: Sendable {
    /// A step and its statements.
    package struct Step: Sendable {
        package let number: Int
        package let sql: String
    }

    /// The steps, numbered from 1 without gaps.
    package let steps: [Step]

    /// Splits the text of a schema file. O(length).
    ///
    /// - Precondition: the steps are numbered 1, 2, 3, …; the file is part of the program, so a gap is a defect.
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
