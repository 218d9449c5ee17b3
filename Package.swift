// swift-tools-version: 6.2
import PackageDescription

/// Settings of every target: Swift 6 mode, explicit existentials and imports; warnings are errors in CI.
let common: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ] + (Context.environment["CI"] == "true" ? [.treatAllWarnings(as: .error)] : [])
    // Invariants of data structures, checked at every change: for tests, far too slow for anything else.
    + (Context.environment["LETTER_INTERNAL_CHECKS"] != nil ? [.define("LETTER_INTERNAL_CHECKS")] : [])

/// Small functions of Core, SQLiteStore and Numerics are called a hundred thousand times a second from other targets: in
/// release builds the compiler may inline them there.
let release: SwiftSetting = .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))

/// Targets with hot loops are optimised in debug builds too: an unoptimised inner loop is a hundred times slower.
let hot: [SwiftSetting] = common + [release, .unsafeFlags(["-O"], .when(configuration: .debug))]

let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOHTTP1", package: "swift-nio"),
]

func target(_ name: String, _ dependencies: [Target.Dependency], settings: [SwiftSetting] = common) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: dependencies + ["TestSupport"], path: "Tests/\(name)Tests",
        resources: resources, swiftSettings: common)
}

let package = Package(
    name: "letter",
    products: [
        .executable(name: "letter", targets: ["letter"]),
        .executable(name: "letterd", targets: ["letterd"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    ],
    targets: [
        // Libraries of the system, and the few things Swift cannot import.
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
        .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
        .target(name: "CLinux"),
        .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3"])]),

        // Values, files and numbers.
        target("Core", [], settings: common + [release]),
        target("Files", ["CLinux", "Core"], settings: hot),
        target("Numerics", ["CKernels", "COpenBLAS", "Core"], settings: hot),
        target("KernelSelection", ["Numerics"]),
        target("Autodiff", ["Numerics"], settings: hot),
        target("Layers", ["Autodiff", "Numerics"], settings: hot),
        target("Training", ["Autodiff", "Core", "Files", "Numerics"], settings: hot),

        // The tokenizer: what the daemon needs, and what only `letter` does.
        target("Tokenizer", ["Core", "Files", "Numerics"], settings: hot),
        target(
            "TokenizerTraining",
            ["Autodiff", "Core", "Files", "Layers", "Numerics", "Tokenizer", "Training"], settings: hot),
        target(
            "TokenizerEvaluation", ["Autodiff", "Core", "Layers", "Numerics", "Tokenizer"], settings: hot),
        target("TextEmbedding", ["Core"], settings: hot),

        // The catalog and the index.
        target("Catalog", ["CLMDB", "CXXHash", "Core"], settings: hot),
        target("Datasets", ["Catalog", "Core", "Files", "Numerics"], settings: hot),
        target("Trie", ["CXXHash", "Core", "Files"], settings: hot),
        target(
            "SQLiteStore", ["Core", "Files", grdb, .product(name: "GRDBSQLite", package: "GRDB.swift")],
            settings: hot),
        .target(
            name: "IdentifierIndex", dependencies: ["CXXHash", "Core", "Files", "SQLiteStore", "Trie", grdb],
            resources: [.embedInCode("index.sql")], swiftSettings: hot),
        .target(
            name: "Generations", dependencies: ["Core", "Files", "SQLiteStore", "Tokenizer", grdb],
            resources: [.embedInCode("registry.sql")], swiftSettings: common),

        // The daemon and its control.
        target("ControlAPI", ["Core"], settings: hot),
        target("ControlServer", ["CLinux", "ControlAPI", "Core", log] + nio, settings: hot),
        target("ControlClient", ["ControlAPI", "Core"]),
        target(
            "Daemon",
            [
                "CLinux", "Catalog", "ControlAPI", "ControlServer", "Core", "Files", "Generations", "IdentifierIndex",
                "SQLiteStore", "Tokenizer", log, .product(name: "Yams", package: "Yams"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]),
        target("LetterdCommand", ["ControlAPI", "Core", "Daemon", arguments, log]),
        .executableTarget(name: "letterd", dependencies: ["Daemon", "LetterdCommand"], swiftSettings: common),
        .executableTarget(
            name: "letter",
            dependencies: [
                "Catalog", "ControlAPI", "ControlClient", "Core", "Datasets", "Files", "KernelSelection",
                "Numerics", "TextEmbedding", "Tokenizer", "TokenizerEvaluation", "TokenizerTraining", "Training",
                arguments,
            ], swiftSettings: common),

        // Benchmarks, which Tools/Benchmarks runs; not products.
        .executableTarget(
            name: "TrieBenchmark",
            dependencies: ["Core", "Files", "IdentifierIndex", "TestSupport", "Trie", arguments],
            path: "Tools/Benchmarks/TrieBenchmark", swiftSettings: common),

        // Tests: one folder per target, and the real executables end to end.
        .target(name: "TestSupport", dependencies: ["Core"], path: "Tests/TestSupport", swiftSettings: common),
        .target(
            name: "TokenizerFixtures", dependencies: ["Files", "Numerics", "Tokenizer"],
            path: "Tests/TokenizerFixtures", resources: [.copy("Fixtures")], swiftSettings: common),
        tests("Core", ["Core"]),
        tests("Files", ["Core", "Files"]),
        tests("Numerics", ["Numerics"]),
        tests("KernelSelection", ["KernelSelection", "Numerics"]),
        tests("Autodiff", ["Autodiff", "Numerics"]),
        tests("Layers", ["Autodiff", "Layers", "Numerics"]),
        tests("Training", ["Autodiff", "Core", "Files", "Layers", "Numerics", "Training"]),
        tests("Tokenizer", ["Core", "Files", "Numerics", "Tokenizer", "TokenizerFixtures"]),
        tests(
            "TokenizerTraining",
            [
                "Autodiff", "Core", "Files", "Numerics", "Tokenizer", "TokenizerFixtures", "TokenizerTraining",
                "Training",
            ]),
        tests(
            "TokenizerEvaluation",
            ["Core", "Files", "Numerics", "Tokenizer", "TokenizerEvaluation", "TokenizerFixtures"]),
        tests("TextEmbedding", ["Core", "TextEmbedding"]),
        tests("Catalog", ["Catalog", "Core"]),
        tests("Trie", ["Core", "Files", "Trie"]),
        tests("SQLiteStore", ["Core", "Files", "SQLiteStore", grdb]),
        .testTarget(
            name: "IdentifierIndexTests",
            dependencies: ["Core", "Files", "IdentifierIndex", "SQLiteStore", "TestSupport", "Trie", grdb],
            exclude: ["Fixtures"], swiftSettings: common),
        tests("Generations", ["Core", "Files", "Generations", "Tokenizer"]),
        tests("ControlAPI", ["ControlAPI", "Core"]),
        tests(
            "Daemon",
            [
                "Catalog", "ControlAPI", "ControlServer", "Core", "Daemon", "Generations", "IdentifierIndex",
                "Numerics", "SQLiteStore",
                "Tokenizer", log,
            ]),
        .executableTarget(
            name: "FaultyLetterd", dependencies: ["Core", "Daemon", "LetterdCommand"], path: "Tests/FaultyLetterd",
            swiftSettings: common),
        .testTarget(
            name: "EndToEndTests", dependencies: ["FaultyLetterd", "Files", "TestSupport", "letter", "letterd"],
            exclude: ["Support"], swiftSettings: common),
        tests("ControlServer", ["ControlAPI", "ControlClient", "ControlServer", "Core", log] + nio),
    ]
)
