import Catalog
import ControlAPI
import Generations
import Glibc
import IdentifierIndex
import Tokenizer
import Core

/// `letter doctor` and `letter index verify`.
extension DaemonService {
    func doctor(deep: Bool) async throws -> ChecksAnswer {
        var doctor = Doctor()
        try await doctor.check("state", "directory") {
            Doctor.permissions(
                directory.path, type: S_IFDIR, closed: S_IWGRP | S_IWOTH,
                remedy: "Restrict it to letterd's user: chmod go-w \(directory.path).")
        }
        try await doctor.check("state", "disk") { Doctor.freeSpace(directory.path) }
        try await doctor.check("socket", "mode") {
            Doctor.permissions(
                socketPath, type: S_IFSOCK, closed: S_IRWXO, remedy: "Restart letterd, which creates it again.")
        }
        try await doctor.check("registry", deep ? "integrity_check" : "quick_check") {
            let problems = try await answers.run { [registry] in try registry.problems(deep: deep) }
            guard let first = problems.first else { return .good("the file is whole") }
            return .bad(first, remedy: "Stop letterd, and replace letterd.sqlite by letterd.backup.sqlite.")
        }
        let records = try await answers.run { [registry] in try registry.generations() }
        let now = state.now
        try await doctor.check("registry", "active generation") {
            let active = records.first { $0.stage == .active }?.number
            guard active == now.active?.number else {
                let failure = now.refused.map { ErrorBody($0) }
                return .bad(
                    "generation \(active.map(String.init) ?? "none") is active and does not answer\(failure.map { ": \($0.message)" } ?? "")",
                    remedy: failure?.remedy ?? "See the problems that `letter status` shows.")
            }
            return .good(active.map { "generation \($0) of \(records.count)" } ?? "none yet")
        }
        try await doctor.check("catalog", "readable") {
            let (version, format) = try await catalog.poll()
            return .good("transaction \(version.transaction), dimension \(format.dimension)")
        }
        for problem in now.problems.sorted(by: { $0.key < $1.key }).map(\.value) {
            doctor.add("status", problem.code, .bad(problem.message, remedy: problem.remedy), took: .zero)
        }
        for pipeline in now.atWork { try await examine(pipeline, deep: deep, &doctor) }
        return ChecksAnswer(checks: doctor.checks)
    }

    private func examine(_ pipeline: GenerationPipeline, deep: Bool, _ doctor: inout Doctor) async throws {
        let subject = "generation \(pipeline.number)"
        try await doctor.check(subject, "model") {
            let record = try await answers.run { [registry] in try registry.generation(pipeline.number) }
            let model = try await models.run { [registry] in try registry.model(pipeline.number) }
            return .good("\(model.levels) levels of \(model.codesPerLevel) codes, \(record.model.prefix(12))…")
        }
        try await doctor.check(subject, deep ? "integrity_check" : "quick_check") {
            guard let problems = try await pipeline.read(on: dumps, { try $0.problems(deep: deep) }) else {
                throw DaemonError.cannotAnswer(pipeline.number, .retired)
            }
            guard let first = problems.first else { return .good("the file is whole") }
            return .bad(first, remedy: Doctor.rebuild(pipeline.number))
        }
        if deep { doctor.add(try await prove(pipeline), of: pipeline.number) }
    }

    func verify(generation: Int?) async throws -> ChecksAnswer {
        let now = state.now
        let pipeline: GenerationPipeline
        if let generation {
            guard let found = now.pipeline(generation) else {
                _ = try await answers.run { [registry] in try registry.generation(generation) }
                throw now.refused
                    ?? DaemonError(
                        .busy, "Generation \(generation) is not at work.",
                        remedy: "`letter generation promote \(generation)` brings it back to work.")
            }
            pipeline = found
        } else {
            guard let active = now.active else { throw now.refused ?? DaemonError.noGeneration }
            pipeline = active
        }
        var doctor = Doctor()
        doctor.add(try await prove(pipeline), of: pipeline.number)
        try await doctor.check("generation \(pipeline.number)", "catalog") { try await compare(pipeline) }
        return ChecksAnswer(checks: doctor.checks)
    }

    private func prove(_ pipeline: GenerationPipeline) async throws -> [IndexFinding] {
        guard let findings = try await pipeline.read(on: dumps, { try $0.verify() }) else {
            throw DaemonError.cannotAnswer(pipeline.number, .retired)
        }
        return findings
    }

    /// Compares every record of the catalog with the digest that the index has of it, both at the index's cursor.
    func compare(_ pipeline: GenerationPipeline) async throws -> Doctor.Finding {
        guard pipeline.gate.enter() else { throw DaemonError.cannotAnswer(pipeline.number, .retired) }
        defer { pipeline.gate.leave() }
        // A commit may come in between; the comparison is then repeated once the index answers it.
        for _ in 0..<5 {
            guard let before = pipeline.progress.cursor?.version else { break }
            let known = KnownItemsPrefetcher(pipeline.index, on: ahead)
            let changes = try await catalog.changes(holding: true) {
                try Task.checkCancellation()
                return try known.next()
            }
            guard changes.version == before, pipeline.progress.cursor?.version == before else {
                try await Task.sleep(for: .milliseconds(200))
                continue
            }
            guard changes.changed.isEmpty, changes.deleted.isEmpty else {
                let examples = (changes.changed + changes.deleted).prefix(3).map(\.text).joined(separator: ", ")
                return .bad(
                    "\(changes.changed.count) records differ from those that were encoded, \(changes.deleted.count) are gone: \(examples)",
                    remedy: Doctor.rebuild(pipeline.number))
            }
            let tally = pipeline.progress.tally
            return .good(
                "\(changes.scanned) records, each live or quarantined, with the digest that was encoded; \(tally.live) live"
            )
        }
        return .bad(
            "the catalog changes too often to compare it with one state of the index",
            remedy: "Try again when `letter wait --caught-up` returns.")
    }
}
