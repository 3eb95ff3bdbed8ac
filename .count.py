import subprocess,sys,ast
sys.path.insert(0,'/tmp/face')
from tests.house import test_faces as t
def files(rev):
    names=subprocess.run(['git','ls-tree','-r','--name-only',rev,'src/pileus'],capture_output=True,text=True,cwd='/tmp/face').stdout.split()
    return {n:subprocess.run(['git','show',f'{rev}:{n}'],capture_output=True,text=True,cwd='/tmp/face').stdout for n in names if n.endswith('.py')}
for rev in ('FETCH_HEAD','HEAD'):
    fs=files(rev)
    rooms={}
    for n,s in fs.items():
        r=n.split('/')[2]; rooms[r]=rooms.get(r,0)+len(s.splitlines())
    faults={n:t.named_faces(s) for n,s in fs.items() if n.startswith('src/pileus/app/')}
    tot=sum(map(len,faults.values())); 
    imports=sum(s.count('from pileus.faces.') - s.count('from pileus.faces.wire') for n,s in fs.items() if n.startswith('src/pileus/app/'))
    sub={}
    for n,s in fs.items():
        if '/faces/' in n: k=n.split('/')[3]; sub[k]=sub.get(k,0)+len(s.splitlines())
    print(rev,tot,sum(1 for f in faults.values() if f),'imports',imports,rooms,sum(rooms.values()),sub)
    print({n:len(f) for n,f in faults.items() if f})
    for f in ('src/pileus/faces/rest/routes.py','src/pileus/faces/rest/face.py','src/pileus/faces/rest/errors.py','src/pileus/app/http.py','src/pileus/app/requests.py'):
        print(f,len(fs.get(f,'').splitlines()))
