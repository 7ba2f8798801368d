from genfast.cli import main

main()
