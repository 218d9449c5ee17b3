import ArgumentParser
import ControlAPI
import ControlClient
import Core
import Files
import Glibc
import Synchronization

/// `letter generation publish`: uploads a model, and waits until its index is built.
struct GenerationPublishCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish", abstract: "Publish a tokenizer as a new generation, and wait until its index is built.",
        discussion: """
            The first generation becomes active automatically; later ones become candidates, which `letter generation \
            promote` makes active. Warnings, such as that the tokenizer does not fit the catalog, are printed to standard \
            error; the exit status is 0 all the same.
            """)

    @Argument(help: "Model directory with manifest.json and tokenizer.safetensors.")
    var model: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let client = connection.client()
        // All files are opened and measured first: nothing is sent of a model that is incomplete or too large.
        let files = try ModelFile.allCases.map { try Source($0, of: model) }
        let published = try await upload(files, to: client)
        let info = try await Self.waitUntilBuilt(published, client)
        try Output.show(info, asJSON: output.json) {
            Table.generations([info]).print()
            if info.state == .candidate {
                Terminal.line("promote it with: letter generation promote \(info.number)")
            }
            Terminal.error(info.warningText)
        }
    }

    private func upload(_ files: [Source], to client: ControlClient) async throws -> GenerationInfo {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        guard let name = UploadName("letter-\(getpid())-\(now.tv_sec)-\(now.tv_nsec)") else { throw ExitCode(1) }
        let bar = ProgressBar(label: "uploading", total: files.reduce(0) { $0 + $1.size } >> 10, unit: "KiB")
        let sent = Mutex(0)
        for source in files {
            let position = Mutex(0)
            _ = try await client.upload(source.file, to: name, length: source.size) {
                let bytes = try position.withLock { position in
                    let bytes = try source.read(at: position)
                    position += bytes?.count ?? 0
                    return bytes
                }
                let total = sent.withLock {
                    $0 += bytes?.count ?? 0
                    return $0
                }
                bar.update(total >> 10)
                return bytes
            }
        }
        bar.finish()
        return try await client.publish(upload: name)
    }

    private static func waitUntilBuilt(
        _ published: GenerationInfo, _ client: ControlClient
    ) async throws -> GenerationInfo {
        var info = published
        let bar = ProgressBar(label: "building generation \(info.number)", total: 100, unit: "%")
        var pause = Duration.milliseconds(20)
        var moved = (items: -1, at: ContinuousClock.now)
        while true {
            let answer = try await client.generations()
            guard let found = answer.generations.first(where: { $0.number == published.number }) else {
                throw ControlError(
                    .generationGone, "Generation \(published.number) no longer exists.",
                    remedy: "See `letter generation list` and the daemon's log.")
            }
            info = found
            bar.update(Int(info.progress * 100), note: "\(info.items) items")
            switch info.state {
            case .active, .retired: break
            // The first one becomes active in a moment; a later one waits for `promote`.
            case .candidate where answer.generations.contains { $0.state == .active }: break
            case .candidate, .building:
                try await refuseStandstill(info, since: &moved, client)
                try await Task.sleep(for: pause)
                pause = min(pause * 2, .milliseconds(500))
                continue
            case .failed:
                bar.finish()
                if let failure = info.failure { throw failure.failure(httpStatus: 500) }
                throw ControlError(
                    .generationFailed, "Generation \(info.number) could not be built.", remedy: "See the daemon's log.")
            }
            bar.finish()
            return info
        }
    }
}

extension GenerationPublishCommand {
    /// How long a build may make no progress while the daemon reports a problem.
    private static let standstill = Duration.seconds(5)

    /// Ends the wait for a build that cannot continue, with the problem that the daemon reports.
    private static func refuseStandstill(
        _ info: GenerationInfo, since moved: inout (items: Int, at: ContinuousClock.Instant), _ client: ControlClient
    ) async throws {
        if info.items != moved.items { moved = (info.items, .now) }
        guard moved.at.duration(to: .now) > standstill, let problem = try await client.status().problems.first else {
            return
        }
        throw RemoteFailure(
            code: problem.code, kind: .temporary,
            message: "Generation \(info.number) is published but not built: \(problem.message)",
            remedy: "\(problem.remedy) It is built as soon as that is fixed; `letter generation list` shows it.")
    }

    /// One file of a model, read piece by piece.
    private struct Source: Sendable {
        let file: ModelFile
        let size: Int
        private let contents: OpenFile

        /// Opens a file.
        ///
        /// - Throws: `letter.model_unreadable`; `control.body_too_large`.
        init(_ file: ModelFile, of model: String) throws {
            self.file = file
            do {
                contents = try OpenFile("\(model)/\(file.rawValue)", .read)
                size = try contents.size()
            } catch {
                throw LetterError(
                    .modelUnreadable, "The model in \(model) cannot be read.",
                    remedy: "Give a model directory with manifest.json and tokenizer.safetensors.", cause: error)
            }
            guard size <= file.limit else { throw ControlError.tooLarge(file, bytes: size) }
        }

        /// The bytes at `position`, at most 256 KiB; nil at the end.
        func read(at position: Int) throws -> [UInt8]? {
            let count = min(256 << 10, size - position)
            return count > 0 ? try contents.read(at: position, count: count) : nil
        }
    }
}
