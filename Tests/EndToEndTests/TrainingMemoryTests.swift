import Files
import Foundation
import TestSupport
import Testing

/// The memory of a training that reads a catalog, as Linux counts it for the real process.
@Suite(.timeLimit(.minutes(5))) struct TrainingMemoryTests {
    private static let items = 60_000
    private static let width = 384

    /// The most memory that a process had, in megabytes.
    private struct Peak {
        /// All that was resident, by the kernel's own high-water mark.
        var resident = 0
        /// Of its own, and of mapped files, as far as they were seen.
        var anonymous = 0
        var file = 0
    }

    /// Runs a program, and asks Linux for its memory all the while.
    private func peak(_ program: String, _ arguments: [String]) throws -> Peak {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = Site.environment()
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        var peak = Peak()
        while process.isRunning {
            let status =
                (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)) ?? ""
            for line in status.split(separator: "\n") {
                let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
                guard words.count > 1, let kilobytes = Int(words[1]) else { continue }
                switch words[0] {
                case "VmHWM:": peak.resident = max(peak.resident, kilobytes / 1_000)
                case "RssAnon:": peak.anonymous = max(peak.anonymous, kilobytes / 1_000)
                case "RssFile:": peak.file = max(peak.file, kilobytes / 1_000)
                default: break
                }
            }
            usleep(2_000)
        }
        #expect(process.terminationStatus == 0, "\(program) \(arguments)")
        return peak
    }

    @Test func `a training holds the embeddings of a catalog, and not the mapped file as well`() throws {
        let folder = TemporaryDirectory()
        let letter = Site.products + "/letter"
        var random = SeededGenerator(seed: 8)
        try NumPyFile.write(folder["x.npy"], random.vector(Self.items * Self.width), columns: Self.width)
        try NumPyFile.write(folder["cf.npy"], random.vector(Self.items * 8), columns: 8)
        for arguments in [
            ["catalog", "init", folder["catalog"], "--dimension", "\(Self.width)"],
            ["catalog", "import", folder["catalog"], "--embeddings", folder["x.npy"], "--cf", folder["cf.npy"]],
        ] { _ = try peak(letter, arguments) }
        let status = try FileManager.default.attributesOfItem(atPath: folder["catalog"] + "/data.mdb")
        let catalog = try #require(status[.size] as? Int) / 1_000_000
        let matrix = Self.items * Self.width * 4 / 1_000_000
        // Half of each page of this catalog is unused, so that mapped pages weigh more than the embeddings.
        try #require(catalog > 200 && matrix < 100, "\(catalog) MB")

        let training = try peak(
            letter,
            [
                "tokenizer", "train", "--catalog", folder["catalog"], "--output", folder["model"], "--preset",
                "published", "--epochs", "1", "--widths", "8", "--latent", "8", "--codes", "8", "--levels", "2",
                "--batch", "512", "--threads", "1",
            ])
        // The program, the matrices, some working memory, and a slice of the catalog at a time.
        #expect(training.resident < matrix + 140, "\(training), catalog \(catalog) MB")
        #expect(training.anonymous >= matrix, "\(training): the embeddings must be in memory")

        // The control: what a process that reads all of the mapped file without giving pages back looks like.
        let script = """
            import mmap
            with open("\(folder["catalog"])/data.mdb", "rb") as file:
                pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
                total = sum(pages[place] for place in range(0, len(pages), 4096))
                __import__("time").sleep(0.5)
            """
        let control = try peak("/usr/bin/python3", ["-c", script])
        #expect(control.resident > catalog && control.file > catalog * 9 / 10, "\(control), catalog \(catalog) MB")
    }
}
