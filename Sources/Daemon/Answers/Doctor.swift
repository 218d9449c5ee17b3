import ControlAPI
import Generations
import Glibc
import IdentifierIndex
import Core

/// Collects checks, each timed; a check that throws has failed.
struct Doctor {
    private(set) var checks: [Check] = []

    /// What a check found.
    enum Finding {
        case good(String)
        case bad(String, remedy: String)
    }

    mutating func check(_ subject: String, _ name: String, _ body: () async throws -> Finding) async throws {
        let start = ContinuousClock.now
        let finding: Finding
        do {
            finding = try await body()
        } catch let error as CancellationError {
            throw error
        } catch {
            let body = ErrorBody(error)
            finding = .bad(body.message, remedy: body.remedy)
        }
        add(subject, name, finding, took: start.duration(to: .now))
    }

    mutating func add(_ subject: String, _ name: String, _ finding: Finding, took: Duration) {
        switch finding {
        case .good(let detail):
            checks.append(
                Check(subject: subject, name: name, outcome: .ok, detail: detail, tookMs: took.milliseconds))
        case .bad(let detail, let remedy):
            checks.append(
                Check(
                    subject: subject, name: name, outcome: .failed, detail: detail, remedy: remedy,
                    tookMs: took.milliseconds))
        }
    }

    /// Adds what was proved of an index.
    mutating func add(_ findings: [IndexFinding], of generation: Int) {
        for finding in findings {
            add(
                "generation \(generation)", finding.name,
                finding.isGood ? .good(finding.detail) : .bad(finding.detail, remedy: Self.rebuild(generation)),
                took: finding.took)
        }
    }

    /// The remedy for an index that contradicts itself.
    static func rebuild(_ generation: Int) -> String {
        "Stop letterd, run `letter index rebuild --generation \(generation)`, and start it again."
    }
}

// MARK: - What the system says of files

extension Doctor {
    /// Whether a path is what it must be, and closed to others.
    ///
    /// - Parameters:
    ///   - type: the file type that it must have (`S_IFDIR`, `S_IFSOCK`).
    ///   - closed: permission bits that must not be set.
    static func permissions(_ path: String, type: mode_t, closed: mode_t, remedy: String) -> Finding {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            return .bad("\(path): \(String(cString: strerror(errno)))", remedy: remedy)
        }
        guard status.st_mode & S_IFMT == type else {
            return .bad("\(path) is not of the expected type", remedy: remedy)
        }
        let mode = String(status.st_mode & 0o7777, radix: 8)
        guard status.st_mode & closed == 0 else { return .bad("\(path) has the mode \(mode)", remedy: remedy) }
        return .good("mode \(mode), user \(status.st_uid)")
    }

    /// Whether the disk that holds a path has space left for more work.
    static func freeSpace(_ path: String) -> Finding {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else {
            return .bad("\(path): \(String(cString: strerror(errno)))", remedy: "Check the disk.")
        }
        let free = (Int(status.f_bavail) * Int(status.f_frsize)) >> 20
        return free >= 256
            ? .good("\(free) MiB free") : .bad("\(free) MiB free", remedy: "Free space on the disk of \(path).")
    }
}
